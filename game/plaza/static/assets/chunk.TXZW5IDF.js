function i(e,r,t,n){return(e.images.url??"").replace("{uid}",r).replace("{picture}",t).replace("{size}",String(n))}export{i as a};
